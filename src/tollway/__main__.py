"""`python -m tollway`."""

from tollway.cli import main

if __name__ == "__main__":
    main(prog_name="tollway")
