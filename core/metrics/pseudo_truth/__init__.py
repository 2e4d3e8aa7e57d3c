"""How good pseudo truth is where the true objects are known, and the least score that makes it best."""
