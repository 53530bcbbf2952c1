"""The trainer: photos that have a teacher's answers in, a network that gives them out."""
