package manifest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/riverhook/riverhook/hierarchy"
)

const (
	defaultName = "default"
	maxKey      = 128
)

// Manifest is what a file says. It holds secrets: printed or logged it shows its name
// alone. It is safe for concurrent use.
type Manifest struct {
	eventTypes    []eventType
	file          string
	name          string
	places        places
	sites         []site
	subscriptions []subscriptionEntry
}

// site is one that is to be there.
type site struct {
	field string
	path  hierarchy.Path
}

// ParseOpts are options of [Parse] and [Load].
type ParseOpts struct {
	// Env returns the value of a variable and whether there is one. An empty value
	// is as none. Default: os.LookupEnv.
	Env func(name string) (string, bool)
}

// Load is [Parse] of a file.
func Load(path string, opts *ParseOpts) (*Manifest, error) {
	f, err := os.Open(path) //nolint:gosec // the caller says which file
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	return Parse(path, text, opts)
}

// Parse reads a manifest, YAML 1.2 or JSON in UTF-8, of at most 4 MiB. What is
// wrong with it, as far as that can be told without a database, is an [Errors]
// with lines and columns. file is what these call it.
//
// "${NAME}" in a secret is the value of a variable, see ParseOpts.Env; "$${" is
// "${" itself. Anchors and aliases are followed, merge keys ("<<") are not known.
func Parse(file string, text []byte, opts *ParseOpts) (*Manifest, error) {
	r := &reader{
		env:    os.LookupEnv,
		file:   file,
		keys:   map[string]string{},
		places: places{},
	}
	if opts != nil && opts.Env != nil {
		r.env = opts.Env
	}
	m := &Manifest{
		file:   file,
		name:   defaultName,
		places: r.places,
	}
	if root := r.load(text); root != nil {
		r.manifest(value{node: root}, m)
	}
	if err := r.errs.orNil(); err != nil {
		return nil, err
	}
	return m, nil
}

// Name is the manifest's: what it keeps in a database is known by it.
func (m *Manifest) Name() string { return m.name }

// Format implements fmt.Formatter: the name, for each verb and flag.
func (m *Manifest) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "manifest %q", m.name) }

func (r *reader) manifest(v value, m *Manifest) {
	servo := servoOptions{site: hierarchy.Root}
	var webhooks []subscriptionEntry
	r.object(v, fields{
		"$schema":       func(v value) { r.scalar(v) },
		"event_types":   func(v value) { r.eventTypes(v, m) },
		"name":          checked[string](checkKey)(r, &m.name),
		"servo":         func(v value) { r.servo(v, &servo) },
		"sites":         func(v value) { r.sites(v, m) },
		"subscriptions": func(v value) { r.subscriptions(v, m) },
		"webhooks":      func(v value) { webhooks = r.webhooks(v) },
	})
	for _, w := range webhooks {
		r.add(m, w.with(servo))
	}
}

// checkKey says why a text cannot be the key of a subscription, or the name of a
// manifest.
func checkKey(key string) error {
	switch {
	case key == "":
		return errors.New("is empty")
	case utf8.RuneCountInString(key) > maxKey:
		return fmt.Errorf("has %d characters; at most %d are allowed", utf8.RuneCountInString(key), maxKey)
	case strings.TrimSpace(key) != key:
		return errors.New("begins or ends with a space")
	case strings.ContainsFunc(key, func(c rune) bool { return !unicode.IsPrint(c) }):
		return errors.New("has a character that cannot be seen")
	default:
		return nil
	}
}

func (r *reader) sites(v value, m *Manifest) {
	seen := map[hierarchy.Path]bool{}
	r.list(v, func(_ int, entry value) {
		var path hierarchy.Path
		sitePath(r, &path)(entry)
		if seen[path] {
			r.refusef(entry, "is there twice")
		}
		seen[path] = path != ""
		m.sites = append(m.sites, site{field: entry.path, path: path})
	})
	// A site comes after those above it.
	slices.SortStableFunc(m.sites, func(a, b site) int { return strings.Compare(string(a.path), string(b.path)) })
}

func sitePath(r *reader, to *hierarchy.Path) func(value) {
	return checked[hierarchy.Path](func(s string) error {
		_, err := hierarchy.ParsePath(s)
		return err
	})(r, to)
}
