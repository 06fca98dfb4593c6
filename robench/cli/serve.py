"""robench serve: the leaderboard as a page that keeps up with its records."""

from __future__ import annotations

from pathlib import Path

import click

from robench.cli.options import DEBUG, RESULTS


@click.command()
@RESULTS
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port; 0 for a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; by default this machine's.")
@DEBUG
def serve(results: Path, port: int, host: str) -> None:
    """Show the leaderboard in a browser, with new records and with runs under way, until Ctrl-C."""
    from robench.site.serve import Live, server

    live = Live(results, lambda message: click.echo(f"robench: warning: {message}", err=True))
    with server(live, host, port) as listening:
        click.echo(f"http://{host}:{listening.server_port}/ shows {results}; Ctrl-C ends it")
        try:
            listening.serve_forever()
        except KeyboardInterrupt:
            click.echo("robench: ended", err=True)
