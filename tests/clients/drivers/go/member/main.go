// A member of a consumer group by franz-go or sarama. See ../../README.md.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"
)

var told sync.Mutex

func say(words ...any) {
	told.Lock()
	defer told.Unlock()
	fmt.Println(words...)
}

func owns(partitions []int32) {
	sort.Slice(partitions, func(a, b int) bool { return partitions[a] < partitions[b] })
	words := []string{}
	for _, partition := range partitions {
		words = append(words, fmt.Sprint(partition))
	}
	say("owns", strings.Join(words, ","))
}

// closing is done once a line comes; when stdin ends the test is gone, and so is this.
func closing() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
			os.Exit(1)
		}
		cancel()
	}()
	return ctx
}

func franz(ctx context.Context, bootstrap, topic, group, name, protocol, instance string) error {
	balancers := map[string]kgo.GroupBalancer{
		"range":              kgo.RangeBalancer(),
		"roundrobin":         kgo.RoundRobinBalancer(),
		"sticky":             kgo.StickyBalancer(),
		"cooperative-sticky": kgo.CooperativeStickyBalancer(),
	}
	var lock sync.Mutex
	owned := map[int32]bool{}
	// Records whose commits were refused: a rebalance may refuse the last one of a partition.
	uncommitted := map[int32]*kgo.Record{}
	change := func(places map[string][]int32, to bool) {
		lock.Lock()
		defer lock.Unlock()
		for _, partition := range places[topic] {
			if to {
				owned[partition] = true
			} else {
				delete(owned, partition)
				delete(uncommitted, partition)
			}
		}
		now := []int32{}
		for partition := range owned {
			now = append(now, partition)
		}
		owns(now)
	}
	options := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(bootstrap, ",")...),
		kgo.ClientID(name),
		kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.Balancers(balancers[protocol]),
		kgo.SessionTimeout(6 * time.Second),
		kgo.HeartbeatInterval(500 * time.Millisecond),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.FetchMaxWait(50 * time.Millisecond),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, places map[string][]int32) { change(places, true) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, places map[string][]int32) { change(places, false) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, places map[string][]int32) { change(places, false) }),
	}
	if instance != "-" {
		options = append(options, kgo.InstanceID(instance))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return err
	}
	defer client.Close()
	for ctx.Err() == nil {
		poll, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		fetches := client.PollFetches(poll)
		cancel()
		fetches.EachPartition(func(place kgo.FetchTopicPartition) {
			for _, record := range place.Records {
				say("got", record.Partition, record.Offset)
			}
			if len(place.Records) == 0 {
				return
			}
			lock.Lock()
			uncommitted[place.Partition] = place.Records[len(place.Records)-1]
			lock.Unlock()
		})
		lock.Lock()
		last := []*kgo.Record{}
		for _, record := range uncommitted {
			last = append(last, record)
		}
		lock.Unlock()
		for _, record := range last {
			if err := client.CommitRecords(context.Background(), record); err != nil {
				say("not-done", record.Partition, record.Offset+1, err)
				continue
			}
			say("done", record.Partition, record.Offset+1)
			lock.Lock()
			if uncommitted[record.Partition] == record {
				delete(uncommitted, record.Partition)
			}
			lock.Unlock()
		}
		client.AllowRebalance()
	}
	return nil
}

type saramaMember struct{ topic string }

func (m saramaMember) Setup(session sarama.ConsumerGroupSession) error {
	owns(append([]int32{}, session.Claims()[m.topic]...))
	return nil
}

func (saramaMember) Cleanup(sarama.ConsumerGroupSession) error {
	owns(nil)
	return nil
}

func (saramaMember) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, open := <-claim.Messages():
			if !open {
				return nil
			}
			say("got", message.Partition, message.Offset)
			session.MarkMessage(message, "")
			session.Commit()
			say("done", message.Partition, message.Offset+1)
		case <-session.Context().Done():
			return nil
		}
	}
}

func byIBM(ctx context.Context, bootstrap, topic, group, name, protocol, instance string) error {
	strategies := map[string]sarama.BalanceStrategy{
		"range":      sarama.NewBalanceStrategyRange(),
		"roundrobin": sarama.NewBalanceStrategyRoundRobin(),
		"sticky":     sarama.NewBalanceStrategySticky(),
	}
	config := sarama.NewConfig()
	config.Version = sarama.V2_8_0_0
	config.ClientID = name
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.Group.Session.Timeout = 6 * time.Second
	config.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
	config.Consumer.Group.Rebalance.Retry.Backoff = 200 * time.Millisecond
	config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategies[protocol]}
	config.Consumer.MaxWaitTime = 50 * time.Millisecond
	if instance != "-" {
		config.Consumer.Group.InstanceId = instance
	}
	consumer, err := sarama.NewConsumerGroup(strings.Split(bootstrap, ","), group, config)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		if err := consumer.Consume(ctx, []string{topic}, saramaMember{topic}); err != nil && ctx.Err() == nil {
			say("error", err)
			time.Sleep(200 * time.Millisecond)
		}
	}
	return consumer.Close()
}

func main() {
	library, words := os.Args[1], os.Args[2:]
	run := franz
	if library == "sarama" {
		run = byIBM
	}
	if err := run(closing(), words[0], words[1], words[2], words[3], words[4], words[5]); err != nil {
		say("error", err)
		os.Exit(1)
	}
	say("closed")
}
