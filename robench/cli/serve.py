"""robench serve: the leaderboard as a page that keeps up with its records."""

from __future__ import annotations

import click

from robench.cli.options import DEBUG, RESULTS
from robench.storage.location import Location

EVERY = 10.0
"""Seconds between two looks at a place that machines share."""


@click.command()
@RESULTS
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port; 0 for a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; by default this machine's.")
@DEBUG
def serve(results: Location, port: int, host: str) -> None:
    """Show the leaderboard in a browser, with new records and with runs under way, until Ctrl-C."""
    import threading

    from robench.leaderboard.site.serve import Live, server
    from robench.records.shared_store import SharedStore, store_at

    def warn(message: str) -> None:
        click.echo(f"robench: warning: {message}", err=True)

    store = store_at(results)
    if isinstance(store, SharedStore):
        store.fetch_all()
        follow = threading.Thread(target=store.follow, args=(EVERY, warn), daemon=True)
        follow.start()
    with server(Live(store.folder, warn), host, port) as listening:
        click.echo(f"http://{host}:{listening.server_port}/ shows {results}; Ctrl-C ends it")
        try:
            listening.serve_forever()
        except KeyboardInterrupt:
            click.echo("robench: ended", err=True)
