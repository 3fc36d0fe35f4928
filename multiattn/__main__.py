"""``python -m multiattn``, for those who start processes of Python: the command line."""

from multiattn.cli import main

if __name__ == "__main__":
    main()
