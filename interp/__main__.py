"""``python -m interp``: the command line."""

from interp.cli import app

if __name__ == "__main__":
    app(prog_name="interp")
