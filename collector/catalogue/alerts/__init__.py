"""When are people told, how loudly, and what proves that they are told then and not before?"""
