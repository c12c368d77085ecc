"""The `doctor` command: print what this machine has."""

import click


@click.command()
@click.option("--weights", is_flag=True, help="Compare the published file lists of all weights with the hub instead.")
def doctor_command(*, weights: bool) -> None:
    """Print versions, device, data sets and weights on this machine, and how to get what is missing.

    With --weights, nothing is downloaded. Exit code 1: a file that the suite reads has changed; 4: some repositories
    could not be reached.
    """
    if weights:
        from brushbench.weights.drift import drifts

        found = drifts()
        for each in found:
            click.echo(str(each))
        if any(each.changes for each in found):
            raise SystemExit(1)
        raise SystemExit(4 if any(each.unasked for each in found) else 0)
    from brushbench.cli.diagnosis import diagnose

    for name, finding in diagnose().items():
        click.echo(f"{name}: {finding}")
