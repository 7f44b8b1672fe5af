package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// child is the receiving process from without.
type child struct {
	base  string // of its URLs
	cmd   *exec.Cmd
	lines chan string
	stdin io.WriteCloser
}

// startChild runs this program as the receiving process, until it listens.
func startChild(ctx context.Context, t task) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.Command(self, receivingArg), lines: make(chan string)} //nolint:gosec,noctx // ourselves; it is ended by end or kill
	c.cmd.Stderr = os.Stderr
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(c.lines)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			c.lines <- scanner.Text()
		}
	}()
	text, err := json.Marshal(t) //nolint:gosec // it is for the receiving process to know
	if err == nil {
		err = c.tell(string(text))
	}
	if err == nil {
		c.base, err = c.hear(ctx)
	}
	if err != nil {
		c.kill()
		return nil, err
	}
	return c, nil
}

// address is where it listens.
func (c *child) address() string { return strings.TrimPrefix(c.base, "http://") }

func (c *child) tell(line string) error {
	_, err := fmt.Fprintln(c.stdin, line)
	return err
}

// hear returns the next line that the process says.
func (c *child) hear(ctx context.Context) (string, error) {
	select {
	case line, ok := <-c.lines:
		if !ok {
			return "", errors.New("the receiving process has ended")
		}
		return line, nil
	case <-ctx.Done():
		return "", fmt.Errorf("the receiving process says nothing: %w", ctx.Err())
	}
}

// kill is SIGKILL: the process can do nothing any more.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it may have ended
	_ = c.wait()             // it was killed
}

// end lets the process end in order, and kills it when it takes too long.
func (c *child) end() error {
	timer := time.AfterFunc(stopTime, func() { _ = c.cmd.Process.Kill() })
	defer timer.Stop()
	_ = c.stdin.Close()
	return c.wait()
}

// wait returns when the process has ended; that it was killed is an error.
func (c *child) wait() error {
	for range c.lines { // the reader of its output must come to its end first
	}
	return c.cmd.Wait()
}
