"""The console: pages over the services, in which people try an agent, review conversations and see that all is well."""
