"""`python -m node` is `deid-node`."""

from node.cli import main

if __name__ == "__main__":
    main()
