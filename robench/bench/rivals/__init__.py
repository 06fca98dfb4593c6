"""What robench is compared with: the same work as a researcher would write it, without the loops of robench."""
