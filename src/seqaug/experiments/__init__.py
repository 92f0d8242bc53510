"""The verbs, as functions: what is asked of recipes and data. No terminal here; `cli` renders what these yield."""
