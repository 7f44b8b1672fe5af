package outbox

// Client enqueues intents. It holds no connection, so one is enough for a
// process; it is safe for concurrent use.
type Client struct {
	cfg   Config
	wakes *wakes
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
	return &Client{cfg: cfg, wakes: newWakes(cfg.NotifyInterval)}
}
