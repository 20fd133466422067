"""Scenes and labels looked at before anything is learnt from them: what they hold, and what is wrong with them."""
