"""`python -m service` is `gan-serve`."""

from service.cli import main

if __name__ == "__main__":
    main()
