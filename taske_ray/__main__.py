"""`python -m taske_ray` is the `taske` command."""

from taske_ray.cli.main import main

if __name__ == "__main__":
    main()
