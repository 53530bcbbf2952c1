"""Photos of training sets: where they lie, what each is for, their faces."""
