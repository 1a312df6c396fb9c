"""The entry point: nothing is imported here that Ctrl-C could interrupt unguarded."""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: "Sequence[str] | None" = None) -> None:
    """Run one command and leave with its exit code: 0 done, 1 failed, 2 wrongly asked, 130 interrupted.

    Without `argv` this process is the command: its arguments are used, and its handling of Ctrl-C is ours.
    """
    from cli import interrupts

    try:
        if argv is None:
            interrupts.install()
        from cli.app import execute

        code = execute(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        code = interrupts.report()
    except ImportError as error:
        from cli import clashes

        code = clashes.report(error)
    if argv is None:
        interrupts.install_last()
    sys.exit(code)


if __name__ == "__main__":
    main()
