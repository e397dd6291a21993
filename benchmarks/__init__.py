"""What does observing a task cost, with us and with others?"""
