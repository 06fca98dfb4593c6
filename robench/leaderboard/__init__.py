"""From records to ranked tables: columns, rankings, formats, and the page."""
