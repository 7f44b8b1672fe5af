package dialecttest

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/riverhook/riverhook/dialect"
)

// signed is a request with one signature: with several, damage to one of them
// is rightly forgiven.
func signed(c Case) (dialect.Request, error) { return build(c, destination(c.Secrets[0])) }

func verify(c Case, h http.Header, body []byte, secrets ...dialect.Secret) error {
	return c.Verifier.Verify(h, body, secrets, attempt().At)
}

func checkCase(c Case) error {
	req, err := signed(c)
	if err != nil {
		return err
	}
	for _, spell := range []func(string) string{http.CanonicalHeaderKey, strings.ToLower, strings.ToUpper} {
		h := http.Header{}
		for name, values := range req.Header {
			h[spell(name)] = values
		}
		if err := verify(c, h, req.Body, c.Secrets[0]); err != nil {
			return fmt.Errorf("with header names as in %q: %w", spell("Content-Type"), err)
		}
	}
	return nil
}

// checkVerifier verifies one request from many goroutines at once, as a server
// does, and at another time: the clock of the bubble stands at the start of the
// year 2000.
func checkVerifier(t *testing.T, c Case) error {
	t.Helper()
	req, err := signed(c)
	if err != nil {
		return err
	}
	header := req.Header.Clone()
	body := slices.Clone(req.Body)
	secrets := slices.Clone(c.Secrets)
	if err := always(true, func() (bool, error) {
		return true, c.Verifier.Verify(req.Header, req.Body, secrets, attempt().At)
	}); err != nil {
		return err
	}
	if !reflect.DeepEqual(req.Header, header) || !bytes.Equal(req.Body, body) || !reflect.DeepEqual(secrets, c.Secrets) {
		return errors.New("Verify modified its input")
	}
	synctest.Test(t, func(*testing.T) { err = verify(c, req.Header, req.Body, c.Secrets[0]) })
	if err != nil {
		return fmt.Errorf("with a clock of its own: %w", err)
	}
	return nil
}

func checkBodyTampering(c Case) error {
	req, err := signed(c)
	if err != nil {
		return err
	}
	bodies := [][]byte{nil, req.Body[:len(req.Body)-1], append(slices.Clone(req.Body), '\n'), append([]byte{' '}, req.Body...)}
	for i := range req.Body {
		body := slices.Clone(req.Body)
		body[i] ^= 1
		bodies = append(bodies, body)
	}
	for _, body := range bodies {
		if err := verify(c, req.Header, body, c.Secrets[0]); !errors.Is(err, dialect.ErrBadSignature) {
			return fmt.Errorf("the body %q in place of %q: got %s, want ErrBadSignature", body, req.Body, text(err))
		}
	}
	return nil
}

func checkMissing(c Case) error {
	req, err := signed(c)
	if err != nil {
		return err
	}
	for _, name := range c.SignedHeaders {
		if req.Header.Get(name) == "" {
			return fmt.Errorf("the request has no header %s", name)
		}
		for _, h := range []http.Header{withHeader(req.Header, name), withHeader(req.Header, name, "")} {
			if err := verify(c, h, req.Body, c.Secrets[0]); !errors.Is(err, dialect.ErrMissingHeader) {
				return fmt.Errorf("without %s: got %s, want ErrMissingHeader", name, text(err))
			}
		}
	}
	return nil
}

func checkHeaderTampering(c Case) error {
	req, err := signed(c)
	if err != nil {
		return err
	}
	for _, name := range c.SignedHeaders {
		value := req.Header.Get(name)
		for i := range len(value) {
			changed := []byte(value)
			changed[i] ^= 1
			err := verify(c, withHeader(req.Header, name, string(changed)), req.Body, c.Secrets[0])
			if !known(err) {
				return fmt.Errorf("%s: %q in place of %q: got %s, want one of the errors of package dialect", name, changed, value, text(err))
			}
		}
	}
	return nil
}

func checkSecrets(c Case) error {
	req, err := signed(c)
	if err != nil {
		return err
	}
	for name, secrets := range map[string][]dialect.Secret{
		"no secret": nil, "the zero secret": {{}}, "another secret": {c.Secrets[1]}, "two others": {c.Secrets[1], c.Secrets[2]},
	} {
		if err := verify(c, req.Header, req.Body, secrets...); !errors.Is(err, dialect.ErrBadSignature) {
			return fmt.Errorf("with %s: got %s, want ErrBadSignature", name, text(err))
		}
	}
	for name, secrets := range map[string][]dialect.Secret{"no secret": nil, "the zero secret": {{}}} {
		if _, err := build(c, destination(secrets...)); err == nil {
			return fmt.Errorf("a request was signed with %s", name)
		}
	}
	return nil
}

func checkTimes(c Case) error {
	req, err := signed(c)
	if err != nil {
		return err
	}
	if c.Tolerance == 0 {
		if err := c.Verifier.Verify(req.Header, req.Body, c.Secrets[:1], attempt().At.AddDate(1, 0, 0)); err != nil {
			return fmt.Errorf("a year later, without a tolerance: %w", err)
		}
		return nil
	}
	// Times on the wire are whole seconds.
	sent := attempt().At.Truncate(time.Second)
	for _, at := range []struct {
		name string
		now  time.Time
		want error
	}{
		{"at the time of the attempt", attempt().At, nil},
		{"as late as allowed", sent.Add(c.Tolerance), nil},
		{"later than that", sent.Add(c.Tolerance + time.Second), dialect.ErrTooOld},
		{"a year later", sent.AddDate(1, 0, 0), dialect.ErrTooOld},
		{"as early as allowed", sent.Add(-c.Tolerance), nil},
		{"earlier than that", sent.Add(-c.Tolerance - time.Second), dialect.ErrTooNew},
		{"a year earlier", sent.AddDate(-1, 0, 0), dialect.ErrTooNew},
	} {
		if err := c.Verifier.Verify(req.Header, req.Body, c.Secrets[:1], at.now); !errors.Is(err, at.want) {
			return fmt.Errorf("%s: got %s, want %s", at.name, text(err), text(at.want))
		}
	}
	return nil
}

func checkRotation(c Case) error {
	newest := c.Secrets[0]
	oldest := c.Secrets[1]
	other := c.Secrets[2]
	both, err := build(c, destination(newest, oldest))
	if err != nil {
		return err
	}
	alone, err := signed(c)
	if err != nil {
		return err
	}
	receivers := map[string][]dialect.Secret{
		"the new secret": {newest}, "both": {newest, oldest}, "both, old first": {oldest, newest}, "another and the new one": {other, newest},
	}
	if !c.SingleSignature {
		receivers["the old secret"] = []dialect.Secret{oldest}
		receivers["another and the old one"] = []dialect.Secret{other, oldest}
	}
	for name, secrets := range receivers {
		if err := verify(c, both.Header, both.Body, secrets...); err != nil {
			return fmt.Errorf("a receiver with %s: %w", name, err)
		}
	}
	if err := verify(c, both.Header, both.Body, other); !errors.Is(err, dialect.ErrBadSignature) {
		return fmt.Errorf("a receiver with another secret: got %s, want ErrBadSignature", text(err))
	}
	for _, name := range c.SignedHeaders {
		if got, first := both.Header.Get(name), alone.Header.Get(name); !strings.HasPrefix(got, first) {
			return fmt.Errorf("%s is %q: the newest secret's %q must come first", name, got, first)
		}
	}
	if !bytes.Equal(both.Body, alone.Body) {
		return errors.New("the secrets change the body")
	}
	return nil
}

func known(err error) bool {
	for _, want := range []error{
		dialect.ErrBadSignature, dialect.ErrMalformed, dialect.ErrMissingHeader, dialect.ErrTooNew, dialect.ErrTooOld,
	} {
		if errors.Is(err, want) {
			return true
		}
	}
	return false
}

func text(err error) string {
	if err == nil {
		return "no error"
	}
	return fmt.Sprintf("%q", err.Error())
}
