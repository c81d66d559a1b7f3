"""`python -m sketchfast`: the same as the `sketchfast` command, for a checkout that is not installed."""

from sketchfast.cli import main

if __name__ == "__main__":
    main()
