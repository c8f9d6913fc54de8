"""Calls: tasks that somebody publishes for others to take part in. What one is, what travels for it, and how updates
become its next version. Site, participants and tests share this room; it knows neither HTTP nor a database.
"""
