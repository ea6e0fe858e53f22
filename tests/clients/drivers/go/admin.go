// What a cluster answers to franz-go's admin client: each case ends with an error when an answer is not right.
package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

const brokers = 3

func judge(ctx context.Context, admin *kadm.Client, topic, what string) error {
	if what == "cluster" {
		return judgeCluster(ctx, admin)
	}
	if _, err := admin.CreateTopic(ctx, 1, brokers, nil, topic); err != nil {
		return err
	}
	switch what {
	case "elect":
		return judgeElection(ctx, admin, topic)
	case "reassign":
		return judgeReassignment(ctx, admin, topic)
	case "log_dirs":
		return judgeLogDirs(ctx, admin, topic)
	case "configs":
		return judgeConfigs(ctx, admin, topic)
	}
	return fmt.Errorf("unknown case %s", what)
}

func judgeCluster(ctx context.Context, admin *kadm.Client) error {
	metadata, err := admin.BrokerMetadata(ctx)
	if err != nil {
		return err
	}
	ids := metadata.Brokers.NodeIDs()
	if !slices.Equal(ids, []int32{1, 2, 3}) || !slices.Contains(ids, metadata.Controller) {
		return fmt.Errorf("brokers %v, controller %d", ids, metadata.Controller)
	}
	return nil
}

func judgeElection(ctx context.Context, admin *kadm.Client, topic string) error {
	set := kadm.TopicsSet{}
	set.Add(topic, 0)
	elected, err := admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, set)
	if err != nil {
		return err
	}
	if found := elected[topic][0].Err; found != kerr.ElectionNotNeeded {
		return fmt.Errorf("the preferred leads already, but: %v", found)
	}
	return nil
}

func partitionOf(ctx context.Context, admin *kadm.Client, topic string) (kadm.PartitionDetail, error) {
	topics, err := admin.ListTopics(ctx, topic)
	if err != nil {
		return kadm.PartitionDetail{}, err
	}
	return topics[topic].Partitions[0], topics[topic].Err
}

// judgeReassignment turns the order of the replicas around.
func judgeReassignment(ctx context.Context, admin *kadm.Client, topic string) error {
	before, err := partitionOf(ctx, admin, topic)
	if err != nil {
		return err
	}
	wanted := slices.Clone(before.Replicas)
	slices.Reverse(wanted)
	request := kadm.AlterPartitionAssignmentsReq{}
	request.Assign(topic, 0, wanted)
	answered, err := admin.AlterPartitionAssignments(ctx, request)
	if err != nil {
		return err
	}
	if err := answered.Error(); err != nil {
		return err
	}
	err = until(ctx, "no reassignment goes on", func() (bool, error) {
		going, err := admin.ListPartitionReassignments(ctx, nil)
		_, still := going[topic]
		return !still, err
	})
	if err != nil {
		return err
	}
	return until(ctx, fmt.Sprintf("replicas are %v", wanted), func() (bool, error) {
		after, err := partitionOf(ctx, admin, topic)
		return slices.Equal(after.Replicas, wanted), err
	})
}

func judgeLogDirs(ctx context.Context, admin *kadm.Client, topic string) error {
	set := kadm.TopicsSet{}
	set.Add(topic, 0)
	described, err := admin.DescribeAllLogDirs(ctx, set)
	if err != nil {
		return err
	}
	holders := 0
	for _, dirs := range described {
		if err := dirs.Error(); err != nil {
			return err
		}
		if _, found := dirs.LookupPartition(topic, 0); found {
			holders++
		}
	}
	if holders != brokers {
		return fmt.Errorf("%d brokers hold it, should be %d", holders, brokers)
	}
	return nil
}

func judgeConfigs(ctx context.Context, admin *kadm.Client, topic string) error {
	value := "60000"
	change := kadm.AlterConfig{Op: kadm.SetConfig, Name: "retention.ms", Value: &value}
	answered, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{change}, topic)
	if err != nil {
		return err
	}
	if err := answered[0].Err; err != nil {
		return err
	}
	return until(ctx, "the value is changed", func() (bool, error) {
		described, err := admin.DescribeTopicConfigs(ctx, topic)
		if err != nil {
			return false, err
		}
		changed := func(config kadm.Config) bool {
			return config.Key == change.Name && config.MaybeValue() == value
		}
		return slices.ContainsFunc(described[0].Configs, changed), described[0].Err
	})
}

// until repeats a probe: what the controller decides reaches other brokers a little later.
func until(ctx context.Context, what string, probe func() (bool, error)) error {
	for {
		if so, err := probe(); so || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("never: %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
