"""Whole recipes: several trainings one after another, each a run of its own, written down in YAML."""
