"""The leaderboard as a page: written into a folder that works from disk, or served while runs go on."""
