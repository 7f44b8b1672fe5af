package receiver

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Config configures a [Handler].
type Config struct {
	// BaseURL is where the handler is reached from outside, such as
	// "https://app.example.com/hooks". Requests have its path in front, so do not
	// strip it. Required.
	BaseURL string

	// DebugURLs are hook URLs by the name of a receiver, for tunnels to a
	// developer's machine: HookURL returns them, with the token in the place of "{token}".
	// They are logged as a warning. Default: none.
	DebugURLs map[string]string

	// Logger gets what goes wrong (Warn, Error); never a token, a header or a body.
	// Default: slog.Default().
	Logger *slog.Logger

	// Now is the clock of verifiers. Default: time.Now.
	Now func() time.Time
}

// Handler is the [http.Handler] of a registry's receivers; the package comment has its
// addresses and answers. It is safe for concurrent use.
type Handler struct {
	cfg      Config
	inbox    Inbox
	prefix   string
	registry *Registry
}

var _ http.Handler = (*Handler)(nil)

// NewHandler returns the handler of the receivers in registry, whose events go to inbox.
// Receivers that are registered later are served too.
func NewHandler(registry *Registry, inbox Inbox, cfg *Config) (*Handler, error) {
	if registry == nil || inbox == nil || cfg == nil {
		return nil, errors.New("receiver: NewHandler needs a Registry, an Inbox and a Config")
	}
	c := *cfg
	c.BaseURL, c.DebugURLs = strings.TrimSuffix(c.BaseURL, "/"), maps.Clone(c.DebugURLs)
	base, err := url.Parse(c.BaseURL)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.RawQuery != "" || base.Fragment != "" {
		return nil, errors.New("receiver: Config.BaseURL must be an http or https URL without query and fragment")
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	for name := range c.DebugURLs {
		c.Logger.Warn("receiver: a debug URL takes the place of a hook URL", "receiver", name)
	}
	return &Handler{
		cfg:      c,
		inbox:    inbox,
		prefix:   base.Path + "/",
		registry: registry,
	}, nil
}

// HookURL returns the URL to give to a sender. It is a credential where it has a token;
// token is "" for a receiver without Tokens. The error is that of a receiver that
// does not exist, or of a token that is missing or too many.
func (h *Handler) HookURL(name, token string) (string, error) {
	rec, ok := h.registry.Get(name)
	switch {
	case !ok:
		return "", fmt.Errorf("receiver: hook URL: no receiver %q", name)
	case (rec.Tokens != nil) != (token != ""):
		return "", fmt.Errorf("receiver: hook URL: the receiver %q has tokens or it has none", name)
	}
	if debug, ok := h.cfg.DebugURLs[name]; ok {
		return strings.ReplaceAll(debug, "{token}", url.PathEscape(token)), nil
	}
	return h.address(name, token), nil
}

func (h *Handler) address(name, token string) string {
	address := h.cfg.BaseURL + "/" + name
	if token != "" {
		address += "/" + url.PathEscape(token)
	}
	return address
}

// target is what the path of a request names.
type target struct {
	rec     Receiver
	owner   string
	address string // of the receiver, with the token
	id      string // of an event; "" for the receiver itself
}

var errNoTarget = errors.New("receiver: no such address")

// resolve finds the target of a path, or errNoTarget: a token that is wrong is an
// address that does not exist.
func (h *Handler) resolve(r *http.Request) (target, error) {
	rest, ok := strings.CutPrefix(r.URL.Path, h.prefix)
	if !ok {
		return target{}, errNoTarget
	}
	parts := strings.Split(strings.TrimSuffix(rest, "/"), "/")
	rec, ok := h.registry.Get(parts[0])
	if !ok {
		return target{}, errNoTarget
	}
	t, parts := target{rec: rec}, parts[1:]
	token := ""
	if rec.Tokens != nil {
		if len(parts) == 0 || parts[0] == "" {
			return target{}, errNoTarget
		}
		token, parts = parts[0], parts[1:]
		owner, err := rec.Tokens.Owner(r.Context(), rec.Name, HashToken(token))
		if errors.Is(err, ErrNoToken) {
			return target{}, errNoTarget
		}
		if err != nil {
			return target{}, err
		}
		t.owner = owner
	}
	t.address = h.address(rec.Name, token)
	switch {
	case len(parts) == 0:
		return t, nil
	case len(parts) == 1 && eventID.MatchString(parts[0]):
		t.id = parts[0]
		return t, nil
	default:
		return target{}, errNoTarget
	}
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	t, err := h.resolve(r)
	switch {
	case errors.Is(err, errNoTarget):
		problem(w, http.StatusNotFound, "There is no such receiver or event.")
	case err != nil:
		h.unavailable(w, r, "find the token", err)
	case t.id != "":
		h.serveEvent(w, r, t)
	default:
		h.serveReceiver(w, r, t)
	}
}

func (h *Handler) serveReceiver(w http.ResponseWriter, r *http.Request, t target) {
	switch {
	case r.Method == http.MethodPost:
		h.accept(w, r, t)
	case r.Method == http.MethodGet && r.URL.Query().Has("echo"):
		echo(w, r.URL.Query().Get("echo"))
	case r.Method == http.MethodOptions && r.Header.Get(headerRequestOrigin) != "":
		allowOrigin(w, r, t.rec)
	default:
		notAllowed(w, "GET, OPTIONS, POST")
	}
}

func (h *Handler) serveEvent(w http.ResponseWriter, r *http.Request, t target) {
	ask := h.inbox.Status
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodDelete:
		ask = h.inbox.Delete
	default:
		notAllowed(w, "DELETE, GET, HEAD")
		return
	}
	err := ErrNotFound
	var status Status
	if t.rec.Authorize(r) {
		status, err = ask(r.Context(), Ref{
			Receiver: t.rec.Name,
			Owner:    t.owner,
			ID:       t.id,
		})
	}
	switch {
	case errors.Is(err, ErrNotFound):
		problem(w, http.StatusNotFound, "There is no such receiver or event.")
	case err != nil:
		h.unavailable(w, r, "read an event", err)
	default:
		answer(w, t, status)
	}
}

// unavailable answers what is our trouble, and not the sender's.
func (h *Handler) unavailable(w http.ResponseWriter, r *http.Request, action string, err error) {
	h.cfg.Logger.ErrorContext(r.Context(), "receiver: could not "+action, "error", err) //nolint:sloglint // the action is one of a few
	w.Header().Set("Retry-After", "5")
	problem(w, http.StatusServiceUnavailable, "Try again later.")
}
