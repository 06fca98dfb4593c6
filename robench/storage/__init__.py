"""Files that outlive a process: cached sets, checkpoints, and folders that machines share."""
