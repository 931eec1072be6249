"""The console: pages for people, over gRPC to the rooms, as the person who is signed in."""
