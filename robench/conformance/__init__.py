"""Does a component of a plugin keep its contract?"""
