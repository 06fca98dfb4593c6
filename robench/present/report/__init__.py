"""Reports: all that a run says, class by class and with pictures, as Markdown and as one page of HTML."""
