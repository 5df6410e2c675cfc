"""The command line from a checkout: ``python cli.py …`` is the installed ``scr …``."""

from scr.commands import main

if __name__ == "__main__":
    main()
