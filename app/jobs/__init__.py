"""Work that goes on without anybody looking at it: replies and downloads; tabs attach and leave."""
