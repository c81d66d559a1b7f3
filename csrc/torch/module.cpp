// The Python face of a stable-ABI library: importing the module loads the library, whose static objects register the
// operators. There is nothing else to see in it; operators are reached as torch.ops.sketchfast.<op>.
#include <Python.h>

#define SKETCHFAST_STRING(x) #x
#define SKETCHFAST_NAME(x) SKETCHFAST_STRING(x)
#define SKETCHFAST_JOIN(a, b) a##b
#define SKETCHFAST_INIT(name) SKETCHFAST_JOIN(PyInit_, name)

// TORCH_EXTENSION_NAME is _C or _C_cuda and comes from the build. The definition has static storage as Python keeps it.
static PyModuleDef definition = {PyModuleDef_HEAD_INIT,
                                 SKETCHFAST_NAME(TORCH_EXTENSION_NAME),
                                 nullptr,
                                 -1,
                                 nullptr,
                                 nullptr,
                                 nullptr,
                                 nullptr,
                                 nullptr};

PyMODINIT_FUNC SKETCHFAST_INIT(TORCH_EXTENSION_NAME)(void) { return PyModule_Create(&definition); }
