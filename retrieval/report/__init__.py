"""What people read: one self-contained page of a model's results, the picture of an answer, a leaderboard."""
