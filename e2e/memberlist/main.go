// memberlist-peer is one node on the real library, steered by lines on stdin.
//
//	memberlist-peer serve -name b -bind 127.0.0.2     one node; prints what it sees
//	memberlist-peer record -secret …                  a scripted cluster; prints every byte sent
//
// Printed by serve, one line each: "ready <address>", "join|leave|update <name> <meta>",
// "members <name>=<address> …", "joined <n>", "left", "log <line>".
// Read by serve: "join <address> …", "members", "leave".
package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

type options struct {
	name, bind, secret, label, meta string
	port                            int
	protocol                        uint
	quick, compress                 bool
	pushPull                        time.Duration
}

func main() {
	if len(os.Args) < 2 {
		fatal("usage: memberlist-peer serve|record [flags]")
	}
	var o options
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	flags.StringVar(&o.name, "name", "go", "node name")
	flags.StringVar(&o.bind, "bind", "127.0.0.1", "address to bind and to advertise")
	flags.IntVar(&o.port, "port", 0, "port, 0: any")
	flags.StringVar(&o.secret, "secret", "", "secret as the file holds it, empty: no encryption")
	flags.StringVar(&o.label, "label", "", "label of the cluster")
	flags.StringVar(&o.meta, "meta", "", "metadata, hex")
	flags.UintVar(&o.protocol, "protocol", 2, "protocol version to speak")
	flags.BoolVar(&o.quick, "quick", false, "probe and gossip at a fifth of the default intervals")
	flags.DurationVar(&o.pushPull, "push-pull", 2*time.Second, "time between exchanges of states")
	flags.BoolVar(&o.compress, "compress", true, "compress")
	_ = flags.Parse(os.Args[2:])
	switch os.Args[1] {
	case "serve":
		serve(o)
	case "record":
		record(o)
	default:
		fatal("serve or record, not " + os.Args[1])
	}
}

func (o options) config(out *printer) *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.Name, c.BindAddr, c.AdvertiseAddr = o.name, o.bind, o.bind
	c.BindPort, c.AdvertisePort = o.port, o.port
	c.ProtocolVersion = uint8(o.protocol)
	c.Label = o.label
	c.EnableCompression = o.compress
	c.Logger = nil
	c.LogOutput = lines{out}
	if o.secret != "" {
		// As upstream's speaker makes its key: the sum of nothing, appended to the secret.
		c.SecretKey = sha256.New().Sum([]byte(o.secret))[:32]
	}
	meta, err := hex.DecodeString(o.meta)
	check(err)
	if len(meta) > 0 {
		c.Delegate = fixed(meta)
	}
	c.Events = watcher{out, o.name}
	c.PushPullInterval = o.pushPull
	if o.quick {
		c.ProbeInterval /= 5
		c.ProbeTimeout /= 5
		c.GossipInterval /= 5
	}
	return c
}

func serve(o options) {
	out := &printer{}
	list, err := memberlist.Create(o.config(out))
	check(err)
	out.line("ready %s", list.LocalNode().Address())
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		words := strings.Fields(in.Text())
		if len(words) == 0 {
			continue
		}
		switch words[0] {
		case "join":
			n, err := list.Join(words[1:])
			out.line("joined %d %v", n, err)
		case "members":
			var all []string
			for _, m := range list.Members() {
				all = append(all, m.Name+"="+m.Address())
			}
			sort.Strings(all)
			out.line("members %s", strings.Join(all, " "))
		case "leave":
			check(list.Leave(time.Second))
			out.line("left")
		}
	}
	_ = list.Shutdown()
}

type printer struct{ sync.Mutex }

func (p *printer) line(format string, args ...any) {
	p.Lock()
	defer p.Unlock()
	fmt.Printf(format+"\n", args...)
}

type lines struct{ out *printer }

func (l lines) Write(b []byte) (int, error) {
	if l.out != nil {
		l.out.line("log %s", strings.TrimSpace(string(b)))
	}
	return len(b), nil
}

type watcher struct {
	out *printer
	own string
}

func (w watcher) tell(what string, n *memberlist.Node) {
	if w.out != nil && n.Name != w.own {
		w.out.line("%s %s %s", what, n.Name, hex.EncodeToString(n.Meta))
	}
}
func (w watcher) NotifyJoin(n *memberlist.Node)   { w.tell("join", n) }
func (w watcher) NotifyLeave(n *memberlist.Node)  { w.tell("leave", n) }
func (w watcher) NotifyUpdate(n *memberlist.Node) { w.tell("update", n) }

// Metadata that never changes.
type fixed []byte

func (f fixed) NodeMeta(int) []byte             { return f }
func (f fixed) NotifyMsg([]byte)                {}
func (f fixed) GetBroadcasts(int, int) [][]byte { return nil }
func (f fixed) LocalState(bool) []byte          { return nil }
func (f fixed) MergeRemoteState([]byte, bool)   {}

func check(err error) {
	if err != nil {
		fatal(err.Error())
	}
}

func fatal(text string) {
	_, _ = io.WriteString(os.Stderr, "memberlist-peer: "+text+"\n")
	os.Exit(1)
}
