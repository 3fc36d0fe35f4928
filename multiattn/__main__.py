"""The command line as ``python -m multiattn``."""

from multiattn.cli import main

if __name__ == "__main__":
    main()
