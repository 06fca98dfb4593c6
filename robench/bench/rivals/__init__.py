"""What robench is measured against: the same work as a competent researcher writes it, without robench's loops."""
