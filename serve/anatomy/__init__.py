"""What a thought is made of: its sentences and steps, where it checks and turns back. Knows neither model nor wire."""
