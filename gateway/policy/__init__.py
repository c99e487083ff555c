"""May it leave at all? Surface, registry and tenants, judged in one pure step."""
