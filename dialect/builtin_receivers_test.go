package dialect_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/dialect"
)

const receiverPages = "../docs/dialects"

// receivers are the complete programs in one language of the pages of docs/dialects,
// by the name of the page.
func receivers(t *testing.T, language string) map[string]string {
	t.Helper()
	block := regexp.MustCompile("(?s)\n## A receiver in " + language + "\n.*?\n```[a-z]+\n(.*?\n)```\n")
	pages, err := filepath.Glob(filepath.Join(receiverPages, "*.md"))
	require.NoError(t, err)
	programs := map[string]string{}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		found := block.FindAllSubmatch(text, -1)
		require.Len(t, found, 1, "%s: programs in %s", page, language)
		programs[strings.TrimSuffix(filepath.Base(page), ".md")] = string(found[0][1])
	}
	return programs
}

func TestBuiltIn_EachDialectHasAPage(t *testing.T) {
	t.Parallel()
	pages := receivers(t, "Go")
	for _, d := range dialect.BuiltIn() {
		require.Contains(t, pages, strings.TrimSuffix(d.Name(), "-binary"))
	}
	require.Len(t, pages, len(dialect.BuiltIn())-1)
}

// The programs lie in a folder of this module for the compiler alone.
func TestReceivers_InGoVerifyWhatDialectsSend(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	replace := map[string]string{}
	addresses := map[string]string{}
	programs := receivers(t, "Go")
	for page, program := range programs {
		addresses[page] = reserve(t)
		source := filepath.Join(dir, page+".go")
		require.NoError(t, os.WriteFile(source, []byte(listening(program, addresses[page])), 0o600))
		target, err := filepath.Abs(filepath.Join(receiverPages, page, "main.go"))
		require.NoError(t, err)
		replace[target] = source
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600))
	args := []string{"build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", dir + string(filepath.Separator)}
	for page := range programs {
		args = append(args, receiverPages+"/"+page)
	}
	out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	for page := range programs {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			requireVerifies(t, page, addresses[page], filepath.Join(dir, page))
		})
	}
}

// reserve finds a free address for a receiver that is started later. Its port is none
// of those that a system gives to whoever asks for any: another test could be given it
// in between.
func reserve(t *testing.T) string {
	t.Helper()
	var address string
	require.Eventually(t, func() (free bool) {
		address = fmt.Sprintf("127.0.0.1:%d", 15000+rand.IntN(15000))
		port, err := net.Listen("tcp", address)
		return err == nil && port.Close() == nil
	}, 30*time.Second, time.Millisecond)
	return address
}

// listening is the program as it listens on that address.
func listening(program, address string) string {
	_, port, _ := strings.Cut(address, ":")
	return strings.Replace(program, "8080", port, 1)
}

// requireVerifies starts the receiver of a page and sends it requests of the
// dialects that the page is about: as they are, by an older secret, and changed.
func requireVerifies(t *testing.T, page, address string, command ...string) {
	t.Helper()
	older := parse(t, secretText)
	newer := parse(t, "whsec_"+strings.Repeat("a", 32))
	other := parse(t, "whsec_"+strings.Repeat("b", 32))
	url := "http://" + address + "/hook"
	said := startReceiver(t, address, newer.Reveal()+" "+older.Reveal(), command...)
	for _, d := range dialect.BuiltIn() {
		if strings.TrimSuffix(d.Name(), "-binary") != page {
			continue
		}
		post := func(change func(*dialect.Request), secrets ...dialect.Secret) int {
			ev := dialect.Event{
				ID:         "msg_1",
				Type:       "user.created",
				OccurredAt: time.Now(),
			}
			msg, err := d.Envelope(ev, []byte(`{"name":"Zoë of `+d.Name()+`"}`))
			require.NoError(t, err)
			req, err := d.Request(msg, dialect.Destination{URL: url, Secrets: secrets}, dialect.Attempt{Number: 1, At: time.Now()})
			require.NoError(t, err)
			req.Body = slices.Clone(req.Body)
			if change != nil {
				change(&req)
			}
			return send(t, req)
		}
		require.Equal(t, http.StatusNoContent, post(nil, newer))
		require.Eventually(t, func() bool { return strings.Contains(said.String(), "Zoë of "+d.Name()+`"`) }, 30*time.Second, time.Millisecond)
		tooLarge := post(func(r *dialect.Request) { r.Body = make([]byte, 1<<20+1) }, newer)
		require.Contains(t, []int{http.StatusRequestEntityTooLarge, brokenOff}, tooLarge)
		if d.Name() == "plain" {
			continue
		}
		require.Equal(t, http.StatusNoContent, post(nil, older))
		require.Equal(t, http.StatusUnauthorized, post(nil, other))
		require.Equal(t, http.StatusUnauthorized, post(func(r *dialect.Request) { r.Body[len(r.Body)/2] ^= 1 }, newer))
		require.Equal(t, http.StatusUnauthorized, post(func(r *dialect.Request) { r.Header = http.Header{} }, newer))
	}
}

// startReceiver runs a program until the end of the test, and returns what it writes.
func startReceiver(t *testing.T, address, secret string, command ...string) *output {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	said := &output{}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "WEBHOOK_SECRET="+secret)
	cmd.Stdout, cmd.Stderr = said, said
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // it is killed
	}()
	t.Cleanup(func() { cancel(); <-ended })
	// To listen is not enough: a process that is just being started can still hold
	// the socket with which the port was found to be free.
	require.Eventually(t, func() bool {
		return send(t, dialect.Request{
			Method: http.MethodGet,
			URL:    "http://" + address,
			Header: http.Header{},
		}) != brokenOff
	}, 30*time.Second, 10*time.Millisecond, "it does not answer")
	return said
}

// brokenOff is what a receiver may do that has not read the whole request.
const brokenOff = 0

func send(t *testing.T, req dialect.Request) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), req.Method, req.URL, bytes.NewReader(req.Body))
	require.NoError(t, err)
	r.Header, r.Close = req.Header, true
	resp, err := (&http.Transport{}).RoundTrip(r)
	if err != nil {
		return brokenOff
	}
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

// output is what a program has written so far.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
