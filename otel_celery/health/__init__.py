"""Is a worker alive, and are broker and queues ready? For probes; nothing here is broadcast."""
