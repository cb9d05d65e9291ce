"""What is done: the stages of a run in their order, jobs, and questions to a finished run."""
