package outbox

// Client enqueues intents. It holds no connection, so one is enough for a
// process; it is safe for concurrent use.
type Client struct {
	cfg      Config
	registry *registry // nil without a pool
	wakes    *wakes
}

// New returns a Client. A nil cfg is the zero Config.
func New(cfg *Config) (*Client, error) {
	full := cfg.withDefaults()
	if err := full.validate(); err != nil {
		return nil, err
	}
	return newClient(full), nil
}

func newClient(cfg Config) *Client {
	c := &Client{cfg: cfg, wakes: newWakes(cfg.NotifyInterval)}
	if cfg.Pool != nil {
		c.registry = newRegistry(&cfg)
	}
	return c
}

// EventTypes returns the store of event types in the database of Config.Pool,
// without which there is an error. What is registered, archived or unarchived
// through it counts for this client at once. Of a transaction of the caller's,
// and for other clients, it counts 5 s after the commit at the latest.
func (c *Client) EventTypes() (*EventTypes, error) {
	types, err := NewEventTypes(c.cfg.Pool, &EventTypesConfig{Schema: c.cfg.Schema})
	if err != nil {
		return nil, err
	}
	types.registry = c.registry
	return types, nil
}
