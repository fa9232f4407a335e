"""Reinforcement learning with group-relative advantages (GRPO, arXiv:2402.03300) on problems that can be verified."""
