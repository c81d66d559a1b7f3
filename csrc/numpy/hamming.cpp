// numpy faces of the Hamming operations: argument checks and allocation, then csrc/cpu with the GIL released.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <string>
#include <vector>

#include "../cpu/hamming.h"

namespace py = pybind11;

namespace sketchfast::numpy {
namespace {

using cpu::HammingPath;

constexpr HammingPath kPaths[] = {HammingPath::automatic, HammingPath::portable, HammingPath::avx2,
                                  HammingPath::avx512_vpopcnt, HammingPath::amx_int8};

std::vector<std::string> hamming_paths() {
  std::vector<std::string> names;
  for (const HammingPath path : kPaths) {
    if (path != HammingPath::automatic && cpu::hamming_path_available(path))
      names.emplace_back(hamming_path_name(path));
  }
  return names;
}

HammingPath path_of(const std::string& name) {
  for (const HammingPath path : kPaths) {
    if (name != hamming_path_name(path)) continue;
    if (!cpu::hamming_path_available(path)) throw py::value_error("path: this processor cannot run '" + name + "'");
    return path;
  }
  throw py::value_error("path: expected 'auto', 'portable', 'avx2', 'avx512_vpopcnt' or 'amx_int8', got '" + name +
                        "'");
}

std::string shape_of(const py::array& array) {
  std::string text = "(";
  for (py::ssize_t i = 0; i < array.ndim(); ++i) text += (i ? ", " : "") + std::to_string(array.shape(i));
  return text + (array.ndim() == 1 ? ",)" : ")");
}

std::string dtype_of(const py::array& array) { return py::cast<std::string>(py::str(array.dtype())); }

using Codes = py::array_t<uint8_t, py::array::c_style>;

Codes codes_of(const py::object& object, const char* name) {
  if (!py::isinstance<py::array>(object)) {
    throw py::type_error(std::string(name) + ": expected a numpy array of packed codes, got " +
                         py::cast<std::string>(py::type::of(object).attr("__name__")));
  }
  const auto array = py::reinterpret_borrow<py::array>(object);
  if (!py::isinstance<py::array_t<uint8_t>>(array)) {
    throw py::type_error(std::string(name) + ": expected dtype uint8 (packed codes), got " + dtype_of(array));
  }
  if (array.ndim() != 2) {
    throw py::value_error(std::string(name) + ": expected 2 dimensions [codes, bits/8], got shape " + shape_of(array));
  }
  if (array.shape(1) < kMinCodeBits / 8 || array.shape(1) > kMaxCodeBits / 8) {
    throw py::value_error(std::string(name) + ": expected 1 to 128 bytes a code (8 to 1024 bits), got shape " +
                          shape_of(array));
  }
  return Codes::ensure(array);
}

void check_same_length(const Codes& queries, const Codes& database) {
  if (queries.shape(1) == database.shape(1)) return;
  throw py::value_error("queries and database: expected codes of equal length, got " +
                        std::to_string(queries.shape(1) * 8) + " and " + std::to_string(database.shape(1) * 8) +
                        " bits");
}

py::tuple hamming_topk(const py::object& queries_, const py::object& database_, int64_t k, int threads,
                       const std::string& path_name) {
  const Codes queries = codes_of(queries_, "queries");
  const Codes database = codes_of(database_, "database");
  check_same_length(queries, database);
  if (k < 1 || k > database.shape(0)) {
    throw py::value_error("k: expected 1 to the database size " + std::to_string(database.shape(0)) + ", got " +
                          std::to_string(k));
  }
  const HammingPath path = path_of(path_name);
  py::array_t<int32_t> distances({queries.shape(0), static_cast<py::ssize_t>(k)});
  py::array_t<int64_t> ids({queries.shape(0), static_cast<py::ssize_t>(k)});
  int32_t* distances_out = distances.mutable_data();
  int64_t* ids_out = ids.mutable_data();
  {
    const py::gil_scoped_release release;
    cpu::hamming_topk(queries.data(), queries.shape(0), database.data(), database.shape(0), queries.shape(1), k,
                      distances_out, ids_out, threads, path);
  }
  return py::make_tuple(distances, ids);
}

template <class T>
py::array cdist(const Codes& queries, const Codes& database, int threads, HammingPath path) {
  py::array_t<T> out({queries.shape(0), database.shape(0)});
  T* data = out.mutable_data();
  {
    const py::gil_scoped_release release;
    cpu::hamming_cdist(queries.data(), queries.shape(0), database.data(), database.shape(0), queries.shape(1), data,
                       threads, path);
  }
  return out;
}

py::array hamming_cdist(const py::object& queries_, const py::object& database_, int threads,
                        const std::string& path_name) {
  const Codes queries = codes_of(queries_, "queries");
  const Codes database = codes_of(database_, "database");
  check_same_length(queries, database);
  const HammingPath path = path_of(path_name);
  if (queries.shape(1) * 8 <= 255) return cdist<uint8_t>(queries, database, threads, path);
  return cdist<int16_t>(queries, database, threads, path);
}

template <class T>
py::array pack(const py::array& values, int threads) {
  const py::ssize_t bits = values.shape(values.ndim() - 1);
  std::vector<py::ssize_t> shape(values.shape(), values.shape() + values.ndim());
  shape.back() = bits / 8;
  py::array_t<uint8_t> codes(shape);
  const int64_t rows = values.size() / bits;
  const T* data = static_cast<const T*>(values.data());
  uint8_t* out = codes.mutable_data();
  {
    const py::gil_scoped_release release;
    cpu::pack_bits(data, rows, bits, out, threads);
  }
  return codes;
}

py::array pack_bits(const py::object& object, int threads) {
  if (!py::isinstance<py::array>(object)) {
    throw py::type_error("values: expected a numpy array, got " +
                         py::cast<std::string>(py::type::of(object).attr("__name__")));
  }
  auto values = py::reinterpret_borrow<py::array>(object);
  if (values.ndim() < 1) throw py::value_error("values: expected shape [..., bits], got a scalar");
  const py::ssize_t bits = values.shape(values.ndim() - 1);
  if (bits % 8 != 0 || bits < kMinCodeBits || bits > kMaxCodeBits) {
    throw py::value_error("values: expected a last dimension that is a multiple of 8 from 8 to 1024, got shape " +
                          shape_of(values));
  }
  const std::string type = dtype_of(values);
  values = py::array::ensure(values, py::array::c_style);
  if (type == "float32") return pack<float>(values, threads);
  if (type == "float64") return pack<double>(values, threads);
  if (type == "float16") return pack<Float16Bits>(values, threads);
  if (type == "bfloat16") return pack<BFloat16Bits>(values, threads);
  if (type == "int8") return pack<int8_t>(values, threads);
  if (type == "bool" || type == "uint8") return pack<uint8_t>(values, threads);
  throw py::type_error("values: expected float64, float32, float16, bfloat16, int8, uint8 or bool, got " + type);
}

}  // namespace

void bind_hamming(py::module_& module) {
  module.def("hamming_paths", &hamming_paths);
  module.def("hamming_topk", &hamming_topk, py::arg("queries"), py::arg("database"), py::arg("k"),
             py::arg("threads") = 0, py::arg("path") = "auto");
  module.def("hamming_cdist", &hamming_cdist, py::arg("queries"), py::arg("database"), py::arg("threads") = 0,
             py::arg("path") = "auto");
  module.def("pack_bits", &pack_bits, py::arg("values"), py::arg("threads") = 0);
}

}  // namespace sketchfast::numpy
