"""Object stores: their URLs, the requests to them, and a folder of this process for what they contain."""
