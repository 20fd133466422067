"""Ready-made training configurations, one a use."""
