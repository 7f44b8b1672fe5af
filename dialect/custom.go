package dialect

import (
	"fmt"
	"net/http"
)

// custom is a dialect that is built from parts. It is immutable.
type custom struct {
	cfg CustomConfig
}

var (
	_ Dialect       = (*custom)(nil)
	_ Scheduled     = (*custom)(nil)
	_ SecretChecker = (*custom)(nil)
)

// NewCustom returns the dialect that cfg describes, which is also [Scheduled] and a
// [SecretChecker]. A bad value is an error that names its field. cfg is copied.
//
// Where a header is set twice, this is the order of precedence: the signer's, Content-Type
// and User-Agent, those that come from the event or the envelope, the fixed ones of the
// dialect, the destination's. Those that belong to the transport (Host, Content-Length,
// Connection and the like) are left out, and of the destination's also the idempotency keys
// and what the dialect could have set: a header of EventHeaders is the dialect's even where
// the event leaves it out, and "_" in a name counts as "-", since receivers exist that cannot
// tell the two apart (CGI, WSGI). A header that cannot be sent is an error that does not show
// its value.
func NewCustom(cfg *CustomConfig) (Dialect, error) {
	c := cfg.withDefaults()
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("dialect: %w", err)
	}
	return &custom{cfg: c}, nil
}

// builtIn returns one of this package's dialects, whose parts are known to fit.
func builtIn(cfg *CustomConfig) Dialect { return &custom{cfg: cfg.withDefaults()} }

// Name implements [Dialect].
func (c *custom) Name() string { return c.cfg.Name }

// Schedule implements [Scheduled].
func (c *custom) Schedule() string { return c.cfg.Schedule }

// CheckSecret implements [SecretChecker]: as its signer does.
func (c *custom) CheckSecret(secret Secret) error { return checkSecret(c.cfg.Signer, secret) }

// Envelope implements [Dialect]: the body and content type of the envelope,
// with the headers that come from the event.
func (c *custom) Envelope(ev Event, data []byte) (Message, error) {
	content, err := c.cfg.Envelope(ev, data)
	if err != nil {
		return Message{}, fmt.Errorf("dialect %s: envelope: %w", c.cfg.Name, err)
	}
	msg := Message{
		ID:          ev.ID,
		Type:        ev.Type,
		ContentType: content.Type,
		Headers:     map[string]string{},
		Body:        content.Body,
		OccurredAt:  ev.OccurredAt,
	}
	if c.cfg.ContentType != "" {
		msg.ContentType = c.cfg.ContentType
	}
	fromEvent := make(map[string]string, len(c.cfg.EventHeaders))
	for name, from := range c.cfg.EventHeaders {
		if value := from(ev); value != "" {
			fromEvent[name] = value
		}
	}
	for _, headers := range []map[string]string{fromEvent, content.Headers} {
		for _, name := range sortedNames(headers) {
			if err := checkHeader(name, headers[name]); err != nil {
				return Message{}, fmt.Errorf("dialect %s: envelope: %w", c.cfg.Name, err)
			}
			msg.Headers[http.CanonicalHeaderKey(name)] = headers[name]
		}
	}
	return msg, nil
}

// Request implements [Dialect], by the precedence of headers that NewCustom tells.
func (c *custom) Request(msg Message, to Destination, at Attempt) (Request, error) {
	h, err := c.header(msg)
	if err != nil {
		return Request{}, fmt.Errorf("dialect %s: request: %w", c.cfg.Name, err)
	}
	signed, err := c.cfg.Signer.Sign(SignInput{
		ID:      msg.ID,
		Type:    msg.Type,
		At:      at.At,
		Body:    msg.Body,
		Secrets: to.Secrets,
	})
	if err != nil {
		return Request{}, fmt.Errorf("dialect %s: sign: %w", c.cfg.Name, err)
	}
	for name, values := range signed {
		h.Del(name)
		for _, value := range values {
			if err := checkHeader(name, value); err != nil {
				return Request{}, fmt.Errorf("dialect %s: sign: %w", c.cfg.Name, err)
			}
			h.Add(name, value)
		}
	}
	if err := c.addDestination(h, to.Headers); err != nil {
		return Request{}, fmt.Errorf("dialect %s: request: %w", c.cfg.Name, err)
	}
	return Request{
		Method: c.cfg.Method,
		URL:    to.URL,
		Header: h,
		Body:   msg.Body,
	}, nil
}

// header is what the dialect sets without the signature.
func (c *custom) header(msg Message) (http.Header, error) {
	h := http.Header{}
	for _, headers := range []map[string]string{c.cfg.Headers, msg.Headers} {
		for _, name := range sortedNames(headers) {
			if transportHeader(name) {
				continue
			}
			if err := setHeader(h, name, headers[name]); err != nil {
				return nil, err
			}
		}
	}
	h.Set("User-Agent", c.cfg.UserAgent)
	h.Del("Content-Type")
	if msg.ContentType == "" {
		return h, nil
	}
	return h, setHeader(h, "Content-Type", msg.ContentType)
}

// addDestination adds the headers of a destination that are not the dialect's.
func (c *custom) addDestination(h http.Header, headers map[string]string) error {
	if len(headers) == 0 {
		return nil
	}
	ours := make(map[string]bool, len(h)+len(c.cfg.EventHeaders))
	for name := range h {
		ours[folded(name)] = true
	}
	for name := range c.cfg.EventHeaders {
		ours[folded(name)] = true
	}
	for _, name := range sortedNames(headers) {
		if ours[folded(name)] || neverADestinations(name) {
			continue
		}
		if err := setHeader(h, name, headers[name]); err != nil {
			return err
		}
	}
	return nil
}
